#!lua flags=allow-oom
--[[
Writes a slice of many rows of metrics. The script that explains them (commit.lua, finish.lua,
report.lua) comes with the last slice. Writing rows again changes nothing.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3…] rows of metrics (put_rows in shared/rows.lua)

Error FENCED if the lease is someone else's.
]]
fence(ARGV[1], ARGV[2])
put_rows(3)
