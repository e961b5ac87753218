-- How many different words there are of each length, and how often they occur.
SELECT LENGTH(word) AS letters, COUNT(*) AS different_words, SUM("count") AS occurrences
FROM "wordCount"
GROUP BY LENGTH(word)
ORDER BY letters
