#!lua flags=allow-oom
--[[
Looks at the open jobs whose time has come: a lease or a claim has ended, or a wait for something
that the job lacked. Cancels or pauses those whose run was asked to do so and died before it could.
Lets the others run again. So one look costs as much as there is to do, however many jobs wait.

KEYS[1] the list of due jobs
ARGV[1] how many it looks at, at most
ARGV[2] '1': only if the list has as many jobs as are open. Processes of earlier versions do not
        list the jobs that they open and end.

Returns {how many it looked at, 1 if a wake-up must be added to the queue}; {-1} if the list is
wrong
]]
if ARGV[2] == '1' and redis.call('HLEN', root .. ':open') ~= redis.call('ZCARD', KEYS[1]) then
  return { -1 }
end

-- Whether the claim of the queued job still holds. It lasts as long as its key, which its worker
-- renews.
local function claim_left_ms()
  local claim = string.match(get('claim') or '', '^(.+)%.%d+$')
  return claim and math.max(0, redis.call('PTTL', root .. ':claim:' .. claim)) or 0
end

local function look()
  local status = get('status')
  local lease_ms, claim_ms = lease_left_ms(), status == 'queued' and claim_left_ms() or 0
  if not status or ended[status] then
    redis.call('ZREM', KEYS[1], job)
  elseif status == 'paused' then
    look_at('+inf')
  elseif is_set() then
    look_at('+inf')
    go_on()
  elseif lease_ms + claim_ms > 0 then
    look_at(now + lease_ms + claim_ms)
  elseif status == 'queued' then
    unclaim()
  elseif status == 'running' then
    redis.call('ZADD', BEGUN, 'NX', now, job)
    look_at('+inf')
  else
    settle('; the run was already gone')
  end
end

for _, whose in ipairs(redis.call('ZRANGEBYSCORE', HELD, '-inf', now, 'LIMIT', 0, ARGV[1])) do
  redis.call('ZREM', HELD, whose)
  offer(whose)
end
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, record in ipairs(due) do
  enter(record)
  look()
end
return { #due, wake_up_useful() }
