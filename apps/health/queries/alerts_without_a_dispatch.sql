-- Alerts for which no vehicle was on its way within 15 minutes. Vehicles are told of on arrival, up to 30
-- minutes later, so alerts of the last 45 minutes can't be judged yet and are left out.
SELECT alerts.patient_id, alerts.ts AS alert_at, alerts.heart_rate, alerts.oxygen_saturation
FROM (SELECT DISTINCT id, patient_id, ts, heart_rate, oxygen_saturation FROM patient_data WHERE emergency_alert) alerts
CROSS JOIN (SELECT MAX(ts) AS latest FROM patient_data) readings
LEFT JOIN emergency_vehicle_data vehicles
       ON vehicles.patient_id = alerts.patient_id
      AND vehicles.dispatch_time <= alerts.ts + INTERVAL '15' MINUTE
      AND vehicles.ts >= alerts.ts
WHERE vehicles.id IS NULL
  AND alerts.ts < readings.latest - INTERVAL '45' MINUTE
ORDER BY alert_at, alerts.patient_id
