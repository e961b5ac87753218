output "bucket" {
  description = "For backend.hcl."
  value       = aws_s3_bucket.state.bucket
}
