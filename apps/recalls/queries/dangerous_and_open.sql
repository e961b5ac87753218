-- Class I recalls that are still going on, the newest first.
SELECT recall_number, recall_initiation_date, recalling_firm, product_description, reason_for_recall
FROM enforcement
WHERE classification = 'Class I' AND status = 'Ongoing'
ORDER BY recall_initiation_date DESC, recall_number
LIMIT 20
