"""Detection: from a network's outputs to boxes, and from boxes to COCO's mAP."""
