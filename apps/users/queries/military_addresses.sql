-- Users at a military unit, by the region their mail goes to.
SELECT CASE WHEN address LIKE '%PO AE %' THEN 'Europe, Middle East, Africa'
            WHEN address LIKE '%PO AP %' THEN 'Pacific'
            ELSE 'Americas' END AS region,
       COUNT(*) AS users
FROM user_details_5
WHERE address LIKE '%PO AE %' OR address LIKE '%PO AP %' OR address LIKE '%PO AA %'
GROUP BY 1
ORDER BY users DESC, region
