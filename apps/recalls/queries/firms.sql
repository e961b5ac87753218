-- The firms with the most events, each of which may recall several products.
SELECT recalling_firm, count(DISTINCT event_id) AS events, count(*) AS recalls
FROM enforcement
GROUP BY recalling_firm
ORDER BY events DESC, recalling_firm
LIMIT 10
