#!lua flags=allow-oom
--[[
Gives up a claim: the jobs of it that were not begun wait for their turns again.

KEYS[1] the claim: `<root>:claim:<token>`
ARGV[1…] record, token, …: its jobs

Returns 1 if a wake-up must be added to the queue
]]
redis.call('DEL', KEYS[1])
for i = 1, #ARGV, 2 do
  enter(ARGV[i])
  if get('claim') == ARGV[i + 1] then unclaim() end
end
return wake_up_useful()
