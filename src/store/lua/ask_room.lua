#!lua
--[[
Checks that a job could be promised its room now. Promises nothing.

KEYS[1] the record that it would have
ARGV[1] how many bytes it may need

Errors: LIMITED if its owner may not have more, FULL if there is no room.
]]
assert_room_for_job(tonumber(ARGV[1]))
