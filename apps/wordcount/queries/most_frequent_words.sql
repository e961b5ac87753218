-- The twenty words that occur most often.
SELECT word, "count"
FROM "wordCount"
ORDER BY "count" DESC, word
LIMIT 20
