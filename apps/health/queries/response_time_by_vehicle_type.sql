-- Minutes from dispatch to arrival, by the type and equipment of the vehicle.
SELECT vehicle_type,
       vehicle_capacity,
       COUNT(*) AS trips,
       CAST(MIN(seconds) / 60.0 AS DECIMAL(8, 1)) AS shortest_min,
       CAST(AVG(seconds) / 60.0 AS DECIMAL(8, 1)) AS mean_min,
       CAST(MAX(seconds) / 60.0 AS DECIMAL(8, 1)) AS longest_min
FROM (
    -- Repeated events fall together here.
    SELECT DISTINCT id, vehicle_type, vehicle_capacity,
           CAST(floor(to_unixtime(ts)) - floor(to_unixtime(dispatch_time)) AS DOUBLE) AS seconds
    FROM emergency_vehicle_data
) arrivals
GROUP BY vehicle_type, vehicle_capacity
ORDER BY mean_min, vehicle_type, vehicle_capacity
