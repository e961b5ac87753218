-- The ten patients with most alerts, with the worst early-warning score they reached.
SELECT patient_id,
       COUNT(DISTINCT id) AS alerts,
       MAX(early_warning) AS worst_early_warning,
       MAX(ts) AS last_alert
FROM patient_data
WHERE emergency_alert
GROUP BY patient_id
ORDER BY alerts DESC, patient_id
LIMIT 10
