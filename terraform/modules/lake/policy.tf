# What nobody may do with the bucket, whatever rights they have.

data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "OnlyTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [var.arn, "${var.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  # The ledger is the lake's fence: of two workers one creates an entry, the other one is refused. So entries may be
  # created and nothing else. Parts of an upload carry no If-None-Match; completing it does, and counts as creation.
  statement {
    sid       = "LedgerIsCreatedOnce"
    effect    = "Deny"
    actions   = ["s3:PutObject"]
    resources = local.ledger
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Null"
      variable = "s3:if-none-match"
      values   = ["true"]
    }
    condition {
      test     = "Bool"
      variable = "s3:ObjectCreationOperation"
      values   = ["true"]
    }
  }

  # A deleted entry could be created again, with other ranges.
  statement {
    sid       = "LedgerStays"
    effect    = "Deny"
    actions   = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
    resources = local.ledger
    principals {
      type        = "*"
      identifiers = ["*"]
    }
  }
}

locals {
  # Also of a lake below a prefix: s3://bucket/prefix.
  ledger = ["${var.arn}/${var.ledger}*", "${var.arn}/*/${var.ledger}*"]
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = data.aws_iam_policy_document.bucket.json

  # AWS refuses two changes of a bucket's access at once.
  depends_on = [aws_s3_bucket_public_access_block.this]
}
