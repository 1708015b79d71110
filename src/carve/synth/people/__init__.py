"""Who a synthetic person is: body and pose."""
