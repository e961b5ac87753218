-- All words, the different ones, and those that occur once.
SELECT SUM("count") AS words,
       COUNT(*) AS different_words,
       SUM(CASE WHEN "count" = 1 THEN 1 ELSE 0 END) AS words_that_occur_once
FROM "wordCount"
