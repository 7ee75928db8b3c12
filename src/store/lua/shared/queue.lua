-- What the scripts share about statuses, the queue and turns. It builds on base.lua and room.lua.
local ended = { succeeded = true, failed = true, cancelled = true }

-- When the reconciler looks at the open job next (sweep.lua), if its status stays as it is until
-- then.
local function look_at(time)
  redis.call('ZADD', root .. ':due', time, job)
end

-- Queued jobs and turns. Owners take turns, and each owner has one job in a turn. claim.lua draws.
--
-- `OWNERS` has the owners with jobs that wait, by their next turn, and `<root>:turn` is the last
-- turn that came. An owner who has waited for nothing gets the turn after it. `HELD` has the owners
-- whose jobs wait for the owner's other jobs to end, by when to look at them again. An owner's jobs
-- are in `<owner>:waiting`, the most urgent first. A job that was claimed is in that list no more.
-- `BEGUN` has the jobs that have begun and that no run holds. They go before all turns.
--
-- Some entries are out of date: an owner whose jobs were all cancelled, a job that was taken
-- otherwise. claim.lua takes them out when it meets them.
local OWNERS, HELD, BEGUN = root .. ':owners', root .. ':held', root .. ':begun'
-- Where a job waits that lets its owner's other jobs go first. Beyond the score of any priority.
local BEHIND_ALL = 1

local function offer(whose)
  local turn = tonumber(redis.call('GET', root .. ':turn') or 0) + 1
  redis.call('ZADD', OWNERS, 'NX', turn, whose)
end

-- Lets the queued job wait for its owner's turn.
local function wait_for_turn()
  local score = get('yields') and BEHIND_ALL or -(number('priority') or 0)
  redis.call('ZADD', owned .. ':waiting', score, id)
  offer(owner)
end

-- 1 if a wake-up must be added to the queue: none is in it that a worker may get. A worker that
-- gets one claims jobs as long as there are any (claim.lua).
local function wake_up_needed()
  return redis.call('LLEN', root .. ':deliveries:wait') == 0 and 1 or 0
end

-- The same, if a worker would find anything.
local function wake_up_useful()
  if redis.call('EXISTS', OWNERS, BEGUN) == 0 then return 0 end
  return wake_up_needed()
end

-- The statuses that count for the limit of running jobs.
local runs = { running = true, pausing = true, cancelling = true }

-- Whether the job's models are trained in shards now.
local function is_set()
  return get('shards') and not get('pooling')
end

-- `unlist` takes the job out of the lists of a status, and `list` puts it into them: the owner's
-- lists, the count over all owners, the list of who waits since when, and the list of what the
-- reconciler looks at. A shard of a set is only in the last two.
local function unlist(status)
  if not get('set') then
    redis.call('ZREM', owned .. ':jobs:' .. status, id)
    add(root .. ':statuses', status, -1)
  end
  if status == 'queued' then
    redis.call('ZREM', root .. ':waiting', id)
    if get('claim') then unset('claim') else redis.call('ZREM', owned .. ':waiting', id) end
  end
end

local function list(status)
  if not get('set') then
    redis.call('ZADD', owned .. ':jobs:' .. status, 0, id)
    add(root .. ':statuses', status, 1)
  end
  -- No run holds a set: runs hold its shards.
  local is_held = not is_set()
  if status == 'queued' and is_held then redis.call('ZADD', root .. ':waiting', now, id) end
  if runs[status] and is_held then
    look_at(number('lease_expires_at') or now)
  elseif not ended[status] then
    look_at('+inf')
  end
end

local function set_status(status)
  local before = get('status')
  if before then unlist(before) end
  list(status)
  set('status', status)
  -- The owner's next job need not wait for this one any more.
  if runs[before] and not runs[status] and redis.call('ZREM', HELD, owner) == 1 then
    offer(owner)
  end
end

-- How many jobs the owner has in these statuses.
local function count(...)
  local total = 0
  for _, status in ipairs({ ... }) do
    total = total + redis.call('ZCARD', owned .. ':jobs:' .. status)
  end
  return total
end

-- Queues the job. Returns whether a wake-up is needed.
local function queue_up()
  set_status('queued')
  wait_for_turn()
  return wake_up_needed()
end

-- Lets a job wait again whose claim lapsed or was given up.
local function unclaim()
  if get('claim') then unset('claim') end
  wait_for_turn()
  look_at('+inf')
end
