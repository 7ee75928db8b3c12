#!lua
--[[
Adds an event to a job that is still there, ended or not: that another of its events could not be delivered.

KEYS[1] the job's record
ARGV[1] the event, as JSON
]]
if get('status') then append(ARGV[1]) end
