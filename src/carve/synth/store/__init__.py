"""The container of people and views."""
