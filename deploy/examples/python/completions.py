"""What is done with a completion event, whatever brings it."""

import json
import sqlite3

COMPLETED = "io.orderwatch.order.completed.v1"


def decode(body):
    """Returns id and data of a completion event; ValueError where the message is none."""
    event = json.loads(body)
    if not isinstance(event, dict) or event.get("specversion") != "1.0":
        raise ValueError("not a CloudEvent 1.0")
    if event.get("type") != COMPLETED:
        raise ValueError(f"type {event.get('type')!r}")
    if not isinstance(event.get("id"), str) or not isinstance(event.get("data"), dict):
        raise ValueError("id or data is missing")
    return event["id"], event["data"]


def open_database(path):
    """Opens the database, which it makes where there is none."""
    database = sqlite3.connect(path)
    database.execute(
        """CREATE TABLE IF NOT EXISTS completion (
            event_id TEXT PRIMARY KEY, project_id TEXT, order_name TEXT, outcome TEXT, reason TEXT)"""
    )
    database.execute(
        """CREATE TABLE IF NOT EXISTS answered (
            event_id TEXT, request_id TEXT, PRIMARY KEY (event_id, request_id))"""
    )
    return database


def handle(database, event_id, data):
    """Takes in an event; False where that was done before. The note that it was done is part of the
    same transaction as what was done."""
    with database:
        new = database.execute(
            "INSERT OR IGNORE INTO completion VALUES (?, ?, ?, ?, ?)",
            (event_id, data["project_id"], data["order_name"], data["outcome"], data["reason"]),
        )
        if new.rowcount == 0:
            return False
        database.executemany(
            "INSERT INTO answered VALUES (?, ?)",
            [(event_id, request["request_id"]) for request in data["requests"]],
        )
    return True
