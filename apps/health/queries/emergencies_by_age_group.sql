-- Patients seen and emergency alerts raised by age group. The age was looked up in the hospital's table when the
-- reading was worked off; of patients who were not in it, it is unknown.
SELECT age_group,
       COUNT(DISTINCT patient_id) AS patients,
       COUNT(DISTINCT CASE WHEN emergency_alert THEN id END) AS alerts
FROM (
    SELECT id, patient_id, emergency_alert,
           CASE WHEN age IS NULL THEN 'unknown' WHEN age < 18 THEN '0-17' WHEN age < 40 THEN '18-39'
                WHEN age < 65 THEN '40-64' WHEN age < 80 THEN '65-79' ELSE '80+' END AS age_group
    FROM patient_data
) readings
GROUP BY age_group
ORDER BY age_group
