#!lua flags=allow-oom
--[[
Looks at the open jobs whose time has come. Cancels or pauses those whose run was asked to do so and
died before it could. Counts a further delivery of those that no run holds and whose delivery was
lost.

A leased job is looked at when its lease ends. A job that waits for its delivery is looked at again
and again, but the less often the longer it has waited. So one look costs as much as there is to do,
however many jobs wait.

KEYS[1] the list of due jobs
ARGV[1] how many it looks at, at most
ARGV[2] milliseconds between two looks at a job that has not waited for longer. For so long a queued
        job's delivery is not missed: the process that queued the job may be about to deliver it

Returns {how many it looked at, owner, id, delivery, turn, owner, …}: what must be delivered
]]
-- How much longer the time between two looks becomes.
local PATIENCE = 12

local pause_ms = tonumber(ARGV[2])
local lost = {}

-- Looks at a job that should have a delivery. `since`: since when it waits for a run.
local function look(status, delivery, since)
  local waited = now - since
  local in_bullmq = root .. ':deliveries:' .. id .. '-' .. delivery
  if (status ~= 'queued' or waited >= pause_ms) and redis.call('EXISTS', in_bullmq) == 0 then
    local next_delivery = increase('delivery', 1)
    for _, value in ipairs({ owner, id, next_delivery, number('turn') or 1 }) do
      table.insert(lost, value)
    end
    -- The caller may die before it has delivered the job.
    waited = 0
  end
  look_at(now + math.max(pause_ms, math.min(waited, PATIENCE * pause_ms)))
end

local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, record in ipairs(due) do
  enter(record)
  local values = redis.call('HMGET', record, 'status', 'delivery', 'lease_expires_at')
  local status, delivery, expires_at = values[1], values[2], tonumber(values[3] or 0)
  if not status or ended[status] then
    redis.call('ZREM', KEYS[1], record)
  elseif status == 'paused' then
    look_at('+inf')
  elseif expires_at > now then
    look_at(expires_at)
  elseif status == 'cancelling' or status == 'pausing' then
    settle('; the run was already gone')
  elseif status == 'queued' then
    look(status, delivery, tonumber(redis.call('ZSCORE', root .. ':waiting', id) or 0))
  else
    look(status, delivery, expires_at)
  end
end
return { #due, unpack(lost) }
