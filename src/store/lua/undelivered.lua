#!lua
--[[
Adds an event to a job or a study, ended or not: a message to its webhook could not be delivered.
Does nothing if it was deleted, or is archived: then no message was on its way any more.

KEYS[1] the record
ARGV[1] the id of the message; it is told only once, even if the message is given up several times
ARGV[2] the event, as JSON
]]
local told_once = 'undelivered:' .. ARGV[1]
if get('status') and not get('archived') and not get(told_once) then
  set(told_once, 1)
  if kind == 'study' then note(ARGV[2]) else append(ARGV[2]) end
end
