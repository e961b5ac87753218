-- Recalls begun in each month, and how many of them are of class I.
SELECT substr(recall_initiation_date, 1, 6) AS begun, count(*) AS recalls,
       sum(CASE WHEN classification = 'Class I' THEN 1 ELSE 0 END) AS class_i
FROM enforcement
WHERE recall_initiation_date IS NOT NULL
GROUP BY substr(recall_initiation_date, 1, 6)
ORDER BY begun
