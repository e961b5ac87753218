-- Lowest and highest temperature of each city and day (UTC), in degrees Celsius, from the backup.
SELECT CAST(observed_at AS DATE) AS day, city,
       CAST(MIN(temp_k) - 273.15 AS DECIMAL(5, 1)) AS lowest_c,
       CAST(MAX(temp_k) - 273.15 AS DECIMAL(5, 1)) AS highest_c,
       COUNT(*) AS observations
FROM weather_backup
WHERE observed_at IS NOT NULL
GROUP BY CAST(observed_at AS DATE), city
ORDER BY day, city
