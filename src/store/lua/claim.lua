#!lua flags=allow-oom
--[[
Gives a worker jobs: it begins the first, and claims others for the same place of the worker. A
claimed job stays queued, but nobody else gets it before the claim lapses. So others come along only
if they are small: all together may take CLAIM_MS of training, as far as it was estimated. And half
of what waits is left to other workers.

A place that will soon have nothing left claims more and begins nothing. Then what it still has
counts too. It gets none while a job waits that must go first.

Jobs that have begun go first. Then owners take turns (shared/queue.lua), and an owner's most urgent
job takes the turn. Owners who may run no more jobs are passed over.

A job that must run alone, or that takes too much memory, needs an idle worker. The first worker
that meets it reserves it, and takes nothing else until it is idle. Else the job might wait for
ever. For the others it is passed over, unless they are idle.

A claim whose answer was lost is asked for again with the same token, and returns the same jobs.

KEYS[1] the claim: `<root>:claim:<token>`
ARGV[1] how long lease and claim last, in milliseconds
ARGV[2] 1 if the worker runs no other job
ARGV[3] how many bytes of memory the worker's other jobs leave
ARGV[4] the arithmetic version of the worker
ARGV[5] how many runs may die in a row before the job fails
ARGV[6] the format of the store that the worker knows
ARGV[7] the worker
ARGV[8] the owner of a job that a process of an earlier version delivered, or ''
ARGV[9] '' if a job is to begin; else the estimated work that the place still has, in milliseconds

Returns {outcome, 1 if a wake-up must be added to the queue, what it claimed, what it began}.
  Outcomes: taken; held: it began nothing, and claimed something; nothing: there is nothing for this
  place; alone: a job waits for this worker to be idle; newer: the store is too new for this worker.
  What it claimed is a list of {owner, id, token, bytes of memory, work in milliseconds}; what it
  began is as in `taken` (shared/begin.lua)
]]
local CLAIM_MS = 50
-- The memory of a job that comes along, at most, in bytes. The worker does not count it before the
-- job begins.
local CLAIM_BYTES = 32 * 2 ^ 20
-- How many jobs and owners one script looks at.
local LOOKS = 200
-- When the reconciler looks again whether an owner may run more jobs, in milliseconds. Usually the
-- end of one of the owner's jobs comes first.
local HELD_MS = 60000
-- For how long a worker reserves a job.
local RESERVED_MS = 5000

if tonumber(redis.call('GET', root .. ':format') or 1) > tonumber(ARGV[6]) then
  return { 'newer', 0 }
end
local told = redis.call('GET', KEYS[1])
if told then return cjson.decode(told) end
if ARGV[8] ~= '' then offer(ARGV[8]) end

local place = {
  lease_ms = tonumber(ARGV[1]),
  idle = ARGV[2] == '1',
  memory_left = tonumber(ARGV[3]),
  arithmetic_version = tonumber(ARGV[4]),
  max_crashes = tonumber(ARGV[5]),
}
local claim = string.match(KEYS[1], '[^:]+$')
local looks = 0
local turn_before = tonumber(redis.call('GET', root .. ':turn') or 0)
local turn = turn_before

-- Which worker has reserved the job that needs an idle one.
local RESERVED = root .. ':alone'

-- Whether this worker has reserved that job.
local function reserve()
  local holder = redis.call('GET', RESERVED)
  if holder and holder ~= ARGV[7] then return false end
  redis.call('SET', RESERVED, ARGV[7], 'PX', RESERVED_MS)
  return true
end

-- Tries the jobs that have begun.
local function take_begun()
  local passed = 0
  while looks < LOOKS do
    looks = looks + 1
    local record = redis.call('ZRANGE', BEGUN, passed, passed)[1]
    if not record then return end
    enter(record)
    local outcome, facts = begin(claim .. '.0', place)
    if outcome == 'alone' then
      if reserve() then return outcome end
      passed = passed + 1
    else
      redis.call('ZREM', BEGUN, record)
      if outcome == 'held' then wait_for_turn() end
      if outcome == 'taken' then return outcome, facts end
    end
  end
end

-- How many owners are passed over.
local passed = 0

-- Whether the owner of the entered job has another one that waits.
local has_more

-- Enters a waiting shard of a set that runs: it may begin although its owner may run no more jobs.
-- What must wait for the set may stand before it. Returns whether there is one.
local function enter_going_shard()
  for _, running in ipairs(redis.call('ZRANGE', owned .. ':jobs:running', 0, -1)) do
    local set_key = owned .. ':job:' .. running
    for _, shard in ipairs(redis.call('SMEMBERS', set_key .. ':shards')) do
      if redis.call('ZSCORE', owned .. ':waiting', running .. '.' .. shard) then
        enter(set_key .. '.' .. shard)
        return true
      end
    end
  end
  return false
end

-- Enters the job whose turn it is. Returns the turn, or nil if there is none.
local function next_turn()
  while looks < LOOKS do
    looks = looks + 1
    local who, its_turn = unpack(redis.call('ZRANGE', OWNERS, passed, passed, 'WITHSCORES'))
    if not who then return end
    local first, second =
      unpack(redis.call('ZRANGE', root .. ':owner:' .. who .. ':waiting', 0, 1))
    has_more = second ~= nil
    if not first then
      redis.call('ZREM', OWNERS, who)
    else
      enter(root .. ':owner:' .. who .. ':job:' .. first)
      if get('status') ~= 'queued' then
        redis.call('ZREM', owned .. ':waiting', id)
      elseif is_at_limit() and not enter_going_shard() then
        redis.call('ZREM', OWNERS, who)
        redis.call('ZADD', HELD, now + HELD_MS, who)
      else
        return tonumber(its_turn)
      end
    end
  end
end

-- The entered job takes the turn. Its owner gets another one if more of the owner's jobs wait.
local function pass_turn(its_turn)
  turn = math.max(turn, its_turn)
  if has_more then
    redis.call('ZADD', OWNERS, turn + 1, owner)
  else
    redis.call('ZREM', OWNERS, owner)
  end
end

local function take_turn()
  local its_turn = next_turn()
  while its_turn do
    local outcome, facts = begin(claim .. '.0', place)
    if outcome == 'taken' then
      pass_turn(its_turn)
      return outcome, facts
    end
    if outcome == 'alone' then
      if reserve() then return outcome end
      passed = passed + 1
    else
      -- The list was wrong.
      redis.call('ZREM', owned .. ':waiting', id)
    end
    its_turn = next_turn()
  end
end

-- Claims small jobs, up to the limit of all that the place has.
local function claim_small(work_ms)
  local rest = {}
  local most = math.ceil((redis.call('ZCARD', root .. ':waiting') - 1) / 2)
  while #rest < most do
    local its_turn = next_turn()
    local more = its_turn and number('work_ms')
    if not more or work_ms + more > CLAIM_MS then break end
    local memory = number('memory_bytes') or 0
    if memory > CLAIM_BYTES or not place.idle and memory > place.memory_left then break end
    work_ms = work_ms + more
    local token = claim .. '.' .. #rest + 1
    table.insert(rest, { owner, id, token, memory, more })
    set('claim', token)
    redis.call('ZREM', owned .. ':waiting', id)
    look_at(now + place.lease_ms)
    pass_turn(its_turn)
  end
  return rest
end

local outcome, first, rest
if ARGV[9] == '' then
  outcome, first = take_begun()
  if not outcome then outcome, first = take_turn() end
  if outcome == 'taken' then
    local alone, work_ms = first[5], first[8]
    rest = (alone == 1 or work_ms < 0) and {} or claim_small(work_ms)
  end
elseif redis.call('EXISTS', BEGUN) == 0 and redis.call('GET', RESERVED) ~= ARGV[7] then
  rest = claim_small(tonumber(ARGV[9]))
  outcome = #rest > 0 and 'held'
end
if not outcome then return { 'nothing', 0 } end
if outcome == 'alone' then return { outcome, wake_up_useful() } end
if turn > turn_before then redis.call('SET', root .. ':turn', turn) end
local answer = { outcome, wake_up_useful(), rest, first }
redis.call('SET', KEYS[1], cjson.encode(answer), 'PX', place.lease_ms)
return answer
