"""The tasks that come with the tool, one file each, and what several of them share.

`TASKS` in the room above names them; nothing else imports them.
"""
