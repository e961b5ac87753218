-- How many patients raised an emergency alert in each hour, and how many readings said so.
-- A repeated event has the same id, so ids are counted once.
SELECT date_trunc('hour', ts) AS hour,
       COUNT(DISTINCT patient_id) AS patients,
       COUNT(DISTINCT id) AS alerts
FROM patient_data
WHERE emergency_alert
GROUP BY date_trunc('hour', ts)
ORDER BY hour
