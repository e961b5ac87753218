-- How many users registered in each decade.
SELECT SUBSTR(date, 1, 3) || '0s' AS decade, COUNT(*) AS users
FROM user_details_5
GROUP BY SUBSTR(date, 1, 3)
ORDER BY decade
