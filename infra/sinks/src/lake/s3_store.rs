pub struct S3Store;
