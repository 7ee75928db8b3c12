#!lua flags=allow-oom
--[[
Adds a slice of many rows of metrics. The script that explains them (commit.lua, finish.lua,
report.lua) comes after the last slice. Adding rows again changes nothing.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3…] metrics: step, row, …

Error FENCED if the lease is someone else's.
]]
fence(ARGV[1], ARGV[2])
add_metrics(3)
