#!lua name=LIBRARY
-- What Ringfence does inside Redis: each function is one short step on one slot.
--
-- A partition's proof lies in one hash, the first key of every call:
--   run      the run id of the server under which the partition is proved
--   epoch    raised whenever another server, or one that forgot, takes over
--   awaited  processes that have not yet offered again what was forgotten, each as ",id,"
--   e<id>    the epoch that a process has proved itself in
--   s<id>    how many commits of a process the partition holds
--   p<id>    where in its journal a process must look for what the partition may lack

-- A server's run id changes when it starts, and a replica has its own: this stands in the
-- memory of this server alone, whatever it copied from another.
local run
local function server()
  if not run then
    run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  end
  return run
end

local CONFLICT, UNPROVED = 0, -1
local ABSENT = '\0\0\0\0\0\0\0\0'

local function proof(key, process)
  return redis.call('HMGET', key, 'run', 'epoch', 'awaited', 'e' .. process, 's' .. process)
end

-- Whether a lease is the one of a process under a token. That its time is over is no matter
-- while nobody else has taken it.
local function holds(key, process, token)
  local known = redis.call('HMGET', key, 'holder', 'token')
  return known[1] == process and known[2] == token
end

-- process, epoch, commits the process was told of, its place in the journal, 'repair' or '',
-- then operations: a letter, the number of a key, and what the letter takes.
--   e field version   a field of a hash must have this version (eight bytes before its value)
--   v version         a document must have this version
--   h process token   a lease must be this one
--   q field value     a field must have this value ('' when it must be absent)
--   f field value     sets a field        F field   removes one
--   a field by        raises a counter
--   l line value      puts a line: key is the index, the next one the values; '' has no value
--   L line            removes one
--   d version text name   puts a document; the next key is the catalogue's index and the one
--                     after it its changes
--   s most entry      appends to the partition's log, which keeps so many at the most
-- Answers the process's commits with this one; 0 for a version that was another; -1 when the
-- partition is not proved. Nothing has changed then.
local function commit(keys, args)
  local process, repair = args[1], args[5] == 'repair'
  local sequence = 1
  if process ~= '' then
    local known = proof(keys[1], process)
    local open = known[3] == '' or (repair and string.find(known[3] or '', ',' .. process .. ',', 1, true))
    if known[1] ~= server() or not open or not (repair or known[4] == args[2]) or known[2] ~= args[2]
      or tonumber(known[5] or '0') < tonumber(args[3]) then
      return UNPROVED
    end
    sequence = tonumber(known[5] or '0') + 1
  end
  local at, writes = 6, #args + 1
  while at <= #args do
    local op, key = args[at], keys[tonumber(args[at + 1])]
    if op == 'e' then
      local has = redis.call('HGET', key, args[at + 2])
      if (has and string.sub(has, 1, 8) or ABSENT) ~= args[at + 3] then return CONFLICT end
      at = at + 4
    elseif op == 'v' then
      if (redis.call('HGET', key, 'version') or '0') ~= args[at + 2] then return CONFLICT end
      at = at + 3
    elseif op == 'h' then
      if not holds(key, args[at + 2], args[at + 3]) then return CONFLICT end
      at = at + 4
    elseif op == 'q' then
      if (redis.call('HGET', key, args[at + 2]) or '') ~= args[at + 3] then return CONFLICT end
      at = at + 4
    else
      writes = at
      break
    end
  end
  at = writes
  while at <= #args do
    local op, place = args[at], tonumber(args[at + 1])
    local key = keys[place]
    if op == 'f' then
      redis.call('HSET', key, args[at + 2], args[at + 3])
      at = at + 4
    elseif op == 'F' then
      redis.call('HDEL', key, args[at + 2])
      at = at + 3
    elseif op == 'a' then
      redis.call('HINCRBY', key, args[at + 2], args[at + 3])
      at = at + 4
    elseif op == 'l' then
      redis.call('ZADD', key, 0, args[at + 2])
      if args[at + 3] ~= '' then redis.call('HSET', keys[place + 1], args[at + 2], args[at + 3]) end
      at = at + 4
    elseif op == 's' then
      redis.call('XADD', key, 'MAXLEN', '~', args[at + 2], args[2] .. '-*', 'r', args[at + 3])
      at = at + 4
    elseif op == 'L' then
      redis.call('ZREM', key, args[at + 2])
      redis.call('HDEL', keys[place + 1], args[at + 2])
      at = at + 3
    elseif op == 'd' then
      redis.call('HSET', key, 'version', args[at + 2], 'document', args[at + 3])
      redis.call('ZADD', keys[place + 1], 0, args[at + 4])
      local changes = keys[place + 2]
      local newest = redis.call('ZREVRANGE', changes, 0, 0, 'WITHSCORES')
      redis.call('ZADD', changes, (tonumber(newest[2]) or 0) + 1, args[at + 4])
      at = at + 5
    else
      return redis.error_reply('ERR no such operation: ' .. tostring(op))
    end
  end
  if process ~= '' then
    redis.call('HSET', keys[1], 's' .. process, sequence)
    -- What is offered again does not say that all before it is here.
    if not repair then redis.call('HSET', keys[1], 'p' .. process, args[4]) end
  end
  return sequence
end

-- How a partition stands with a process: whether it is proved under this server, the epoch,
-- who is awaited, the process's epoch, commits and place, and the partition's daily mark.
local function look(keys, args)
  local known = redis.call('HMGET', keys[1], 'run', 'epoch', 'awaited', 'e' .. args[1], 's' .. args[1], 'p' .. args[1])
  return { known[1] == server() and 1 or 0, tonumber(known[2] or '0'), known[3] or '', tonumber(known[4] or '0'),
    tonumber(known[5] or '0'), known[6] or '', redis.call('HGET', keys[2], 'z') or '' }
end

-- Begins a new epoch, unless somebody did: everybody alive must offer again what was
-- forgotten before anything else is committed. Takes the epoch that was found, ",id,id,", the
-- process and the highest epoch it knows: a store that forgot everything has forgotten that too.
local function begin(keys, args)
  local known = redis.call('HMGET', keys[1], 'run', 'epoch')
  if tonumber(known[2] or '0') == tonumber(args[1]) then
    local epoch = math.max(tonumber(args[1]), tonumber(args[4])) + 1
    redis.call('HSET', keys[1], 'run', server(), 'epoch', epoch, 'awaited', args[2])
  end
  return look(keys, { args[3] })
end

-- Takes a process off those awaited: it has offered everything again, or is gone. One that
-- has proved itself may commit in this epoch; one that is gone must prove itself anew.
local function settle(keys, args)
  local process, epoch, proved = args[1], args[2], args[3] == 'proved'
  local known = redis.call('HMGET', keys[1], 'run', 'epoch', 'awaited')
  if known[1] ~= server() or known[2] ~= epoch then return 0 end
  local awaited = string.gsub(known[3] or '', ',' .. process .. ',', ',')
  if awaited == ',' then awaited = '' end
  redis.call('HSET', keys[1], 'awaited', awaited)
  if proved then
    redis.call('HSET', keys[1], 'e' .. process, epoch, 'p' .. process, args[4])
  else
    redis.call('HDEL', keys[1], 'e' .. process)
  end
  return 1
end

-- Whether a partition is proved under this server for a process in an epoch: sent behind a
-- read, on the same connection, it says whether what was read can be believed.
local function believe(keys, args)
  local known = redis.call('HMGET', keys[1], 'run', 'e' .. args[1])
  return known[1] == server() and known[2] == args[2] and 1 or 0
end

-- A page of lines between two bounds of the index, with their values.
local function lines(keys, args)
  local found = redis.call('ZRANGEBYLEX', keys[1], args[1], args[2], 'LIMIT', 0, args[3])
  local out = {}
  for from = 1, #found, 512 do
    local part = { unpack(found, from, math.min(from + 511, #found)) }
    local values = redis.call('HMGET', keys[2], unpack(part))
    for i, line in ipairs(part) do
      out[#out + 1] = line
      out[#out + 1] = values[i] or ''
    end
  end
  return out
end

-- Takes what is wanted from budgets, or what is left of the least of them: one total per
-- process, all of them together below the budget. Takes the process, what it wants, and the
-- budget of each key: the whole one's, then a day's. Answers what was taken, and what each had
-- left before.
local function reserve(keys, args)
  local process, want, answer = args[1], tonumber(args[2]), { 0 }
  for i, key in ipairs(keys) do
    local used = 0
    for _, total in ipairs(redis.call('HVALS', key)) do used = used + tonumber(total) end
    answer[i + 1] = math.max(tonumber(args[i + 2]) - used, 0)
    want = math.min(want, answer[i + 1])
  end
  if want > 0 then
    for i, key in ipairs(keys) do
      redis.call('HINCRBY', key, process, string.format('%.0f', want))
      -- A day is over in two, wherever the clocks stand.
      if i > 1 then redis.call('EXPIRE', key, 3 * 86400) end
    end
  end
  answer[1] = want
  return answer
end

local function milliseconds()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- A process is alive for so many milliseconds more; answers who is, and who ever was.
local function beat(keys, args)
  local ms = milliseconds()
  redis.call('ZADD', keys[1], ms + tonumber(args[2]), args[1])
  return { redis.call('ZRANGEBYSCORE', keys[1], string.format('%.0f', ms), '+inf'),
    redis.call('ZRANGE', keys[1], 0, -1) }
end

-- A process alone does what follows a partition, for so many milliseconds more. Answers its
-- token, which is higher than any that another process had: the epoch is part of it, so that a
-- server that forgot the lease gives none a second time. 0 when another has it, or the
-- partition is not proved under this server.
local function lease(keys, args)
  local proved = redis.call('HMGET', keys[1], 'run', 'epoch')
  if proved[1] ~= server() then return 0 end
  local known = redis.call('HMGET', keys[2], 'holder', 'token', 'until')
  local now, token = milliseconds(), tonumber(known[2] or '0')
  if known[1] ~= args[1] then
    if known[1] and tonumber(known[3]) > now then return 0 end
    token = math.max(token, tonumber(proved[2]) * 1048576) + 1
  end
  redis.call('HSET', keys[2], 'holder', args[1], 'token', string.format('%.0f', token),
    'until', string.format('%.0f', now + tonumber(args[2])))
  return token
end

-- How far screening has come, said by whoever has its lease: the lease, then what is kept; the
-- process, its token, then names and values.
local function screened(keys, args)
  if not holds(keys[1], args[1], args[2]) then return 0 end
  if #args > 2 then redis.call('HSET', keys[2], unpack(args, 3)) end
  return 1
end

-- A page of a partition's log from an entry on, if the partition is proved for the process: the
-- process, its epoch, the entry, how many.
local function log(keys, args)
  local known = redis.call('HMGET', keys[1], 'run', 'e' .. args[1])
  if known[1] ~= server() or known[2] ~= args[2] then return { 0, {} } end
  if args[3] == '-' and redis.call('EXISTS', keys[2]) == 1 then
    -- From the beginning: whole when nothing was dropped.
    local info, added = redis.call('XINFO', 'STREAM', keys[2]), 0
    for i = 1, #info, 2 do
      if info[i] == 'entries-added' then added = info[i + 1] end
    end
    if added ~= redis.call('XLEN', keys[2]) then return { 2, {} } end
  end
  local out = {}
  for i, entry in ipairs(redis.call('XRANGE', keys[2], args[3], '+', 'COUNT', args[4])) do
    out[i] = { entry[1], entry[2][2] }
  end
  return { 1, out }
end

redis.register_function('NAME_commit', commit)
redis.register_function('NAME_begin', begin)
redis.register_function('NAME_settle', settle)
redis.register_function('NAME_reserve', reserve)
redis.register_function('NAME_beat', beat)
redis.register_function('NAME_lease', lease)
redis.register_function('NAME_screened', screened)
redis.register_function{ function_name = 'NAME_look', callback = look, flags = { 'no-writes' } }
redis.register_function{ function_name = 'NAME_believe', callback = believe, flags = { 'no-writes' } }
redis.register_function{ function_name = 'NAME_log', callback = log, flags = { 'no-writes' } }
redis.register_function{ function_name = 'NAME_lines', callback = lines, flags = { 'no-writes' } }
