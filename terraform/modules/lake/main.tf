# The one bucket: tables, their ledger, snapshots of feeds, results of Athena.

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:an access log needs a second bucket and tells little; CloudTrail's data events do it better where it is asked for
  #checkov:skip=CKV_AWS_144:copies in another region are the owner's choice; S3 keeps three already
  #checkov:skip=CKV_AWS_145:encrypted with S3's own keys, see below
  #checkov:skip=CKV2_AWS_62:nobody listens to events: workers register what they commit
  bucket        = var.bucket
  force_destroy = var.force_destroy
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

# S3's own keys: KMS would bill each of many small objects, and its limits on calls would become the lake's.
resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

# There is one such configuration per bucket, so all rules are here.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "housekeeping"
    status = "Enabled"
    filter {}
    # What workers that were killed began to upload.
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }
  }

  rule {
    id     = "athena-results"
    status = "Enabled"
    filter {
      prefix = var.results
    }
    expiration {
      days = var.results_days
    }
  }

  # What workers and `millstream doctor` try the store with. They may not delete it, see the policy.
  rule {
    id     = "probes"
    status = "Enabled"
    filter {
      prefix = "${var.ledger}probe/"
    }
    expiration {
      days = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
