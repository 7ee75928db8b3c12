#!lua flags=allow-oom
--[[
Gives up claimed jobs: those that have not begun wait for their turns again.

KEYS[1] the record of one of them
ARGV[1…] record, token, …: all of them

Returns 1 if a wake-up must be added to the queue
]]
for i = 1, #ARGV, 2 do
  enter(ARGV[i])
  if get('claim') == ARGV[i + 1] then unclaim() end
end
return wake_up_useful()
