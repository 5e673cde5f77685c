# Waits for the order of a pool, and fails the apply where it does not succeed. What needs the pool
# depends on terraform_data.order.

terraform {
  required_version = ">= 1.4" # terraform_data
}

variable "nats_url" {
  type        = string
  description = "Where NATS is. A login comes by ORDERWATCH_NATS_ variables in terraform's own environment."
}

variable "project_id" {
  type        = string
  description = "Id of the ModelArts project."
}

variable "order_name" {
  type        = string
  description = "Name of the order: the label os.modelarts/order.name of the pool that was ordered."
}

variable "attempt" {
  type        = number
  default     = 1
  description = "Raise it to ask again for an order whose watch timed out: one request has one answer."
}

resource "terraform_data" "order" {
  input            = var.order_name
  triggers_replace = [var.project_id, var.order_name, var.attempt]

  # After a failure the resource is tainted: the next apply runs this again, with the same request.
  provisioner "local-exec" {
    # Values come by the environment alone: in the text of a command they could be commands.
    environment = {
      ORDERWATCH_NATS_URL = var.nats_url
      ORDER               = "${var.project_id}/${var.order_name}"
      REQUEST_ID          = "terraform-${var.attempt}"
    }
    interpreter = ["/bin/sh", "-c"]
    command     = <<-EOT
      code=0
      orderwatch watch --wait --timeout 2h --request-id "$REQUEST_ID" --requested-by terraform "$ORDER" || code=$?
      case $code in
        0) ;;
        2) echo "The request for $ORDER is wrong: see the lines above." ;;
        3) echo "The order $ORDER failed, in part or whole: the lines above say what and why. Order anew what is missing." ;;
        4) echo "The order $ORDER has not ended in time and may be running still. To wait longer, raise the variable attempt." ;;
        5) echo "ModelArts does not know the order $ORDER, or refuses it: check project_id and order_name." ;;
        6) echo "Somebody cancelled the watch of $ORDER: the lines above say who." ;;
        *) echo "Nothing is known of $ORDER: NATS or the worker is away, or the waiting was interrupted. Apply again." ;;
      esac >&2
      exit $code
    EOT
  }
}

output "order" {
  value       = terraform_data.order.output
  description = "Name of the order, once it has succeeded."
}
