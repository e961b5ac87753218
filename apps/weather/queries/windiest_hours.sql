-- The ten windiest hours, city by city, from the backup.
SELECT date_trunc('hour', observed_at) AS hour, city, MAX(windspeed) AS strongest, AVG(windspeed) AS mean
FROM weather_backup
WHERE observed_at IS NOT NULL
GROUP BY date_trunc('hour', observed_at), city
ORDER BY strongest DESC, hour, city
LIMIT 10
