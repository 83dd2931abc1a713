# Terraform: instances with the user data of deploy-user-data.yml; see deploy.md. No secret stands here, nor in the state.
variable "ami" {
  type        = string
  description = "An ECS-optimized Amazon Linux 2023 AMI"
}

variable "instance_profile" {
  type        = string
  description = "Its role may read the bucket, and the secrets of the registries"
}

resource "aws_launch_template" "ecs" {
  name_prefix   = "ecs-"
  image_id      = var.ami
  instance_type = "t3.small"
  user_data     = base64encode(file("${path.module}/deploy-user-data.yml"))

  iam_instance_profile {
    name = var.instance_profile
  }

  metadata_options {
    http_tokens = "required"
  }
}
