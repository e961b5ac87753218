-- How many recalls there are of each class; I is the most dangerous one.
SELECT COALESCE(classification, 'none') AS class, count(*) AS recalls
FROM enforcement
GROUP BY COALESCE(classification, 'none')
ORDER BY class
