-- Names that more than one user has.
SELECT name, COUNT(*) AS users, MIN(date) AS first_year, MAX(date) AS last_year
FROM user_details_5
GROUP BY name
HAVING COUNT(*) > 1
ORDER BY users DESC, name
LIMIT 20
