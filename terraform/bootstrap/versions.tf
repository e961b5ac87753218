terraform {
  # 1.10: the S3 backend locks the state by itself (use_lockfile), no table needed.
  required_version = ">= 1.10.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}
