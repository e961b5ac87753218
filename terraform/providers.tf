# No endpoints and no skip_* flags here: the tests reach their local API by AWS_ENDPOINT_URL alone, so that what they
# apply is what AWS gets.
provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }
}
