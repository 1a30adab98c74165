"""Notifications: the outbox and the channels by which a message leaves: mail, chat robots, webhooks."""
