#!lua flags=allow-oom
--[[
Adds rows of metrics, a slice of many that come before what is said of them (commit.lua, finish.lua, report.lua). Adding them again changes nothing.

KEYS[1] the job's record
ARGV[1] run
ARGV[2] token
ARGV[3…] metrics: step, row, …

Error FENCED if the lease is someone else's.
]]
fence(ARGV[1], ARGV[2])
add_metrics(3)
