-- The weather now: each city's last observation, in degrees Celsius.
SELECT city, country, windspeed,
       CAST(temp_k - 273.15 AS DECIMAL(5, 1)) AS temp_c,
       CAST(feels_like_k - 273.15 AS DECIMAL(5, 1)) AS feels_like_c,
       description, observed_at
FROM weather
ORDER BY city
