"""The board's atomic moves, as Lua that Redis runs whole.

Keys, all with one hash tag so that a Cluster keeps them together:

- `version`: of this layout; `clock`: the board's clock (below)
- `alive`: hash, `p:<process>` and `n:<node>` -> until when
- `waiting`: hash, call -> JSON; `offered`: hash, call -> consultant
- `callbacks`: hash, call -> JSON; `callback_tries`: hash, call -> "tries not-before";
  `callback_numbers`: hash, number -> call; `dials`: hash, `m:<minute>`, `d:<day>` -> dialled in it
- `consultant:<id>`: hash with state, since, call, lease, reason, and `device:<node>` for each node

The board's clock never goes back: when Redis's own does (a correction, another server after a
failover), the difference is added from then on. Who has waited longest stays so.

The last argument of every script is the channel on which a change is told.
"""

VERSION = "2"

_NOW = """
-- KEYS: clock, alive, ...
local t = redis.call('TIME')
local raw = t[1] + t[2] / 1000000
local seen = redis.call('HMGET', KEYS[1], 'last', 'ahead')
local ahead = tonumber(seen[2] or 0)
if raw < tonumber(seen[1] or 0) then
  ahead = ahead + seen[1] - raw
  redis.call('HSET', KEYS[1], 'ahead', ahead)
end
redis.call('HSET', KEYS[1], 'last', raw)
local now = raw + ahead
local function lives(who)
  return tonumber(redis.call('HGET', KEYS[2], who) or 0) > now
end
local function changed()
  redis.call('PUBLISH', ARGV[#ARGV], '')
end
-- The telephone of a consultant, at whichever living node it is: idle, busy or unavailable.
local function telephone(key)
  local fields, found = redis.call('HGETALL', key), 'unavailable'
  for i = 1, #fields, 2 do
    local node = string.match(fields[i], '^device:(.*)$')
    if node and lives('n:' .. node) then
      if fields[i + 1] == 'busy' then return 'busy' end
      if fields[i + 1] == 'idle' then found = 'idle' end
    end
  end
  return found
end
"""

CLOCK = _NOW + "return string.format('%.6f', now)"

HEARTBEAT = (
    _NOW
    + """
-- KEYS: clock, alive, version; ARGV: process, node ('' while its Asterisk is not seen), seconds,
-- latest time known to the process, version
local version = redis.call('GET', KEYS[3])
if version and version ~= ARGV[5] then return {'version', version} end
if not version then redis.call('SET', KEYS[3], ARGV[5]) end
local known = tonumber(ARGV[4])
if known > now then
  redis.call('HSET', KEYS[1], 'ahead', ahead + known - now)
  now = known
end
if ARGV[2] ~= '' then
  if not lives('n:' .. ARGV[2]) then changed() end
  redis.call('HSET', KEYS[2], 'n:' .. ARGV[2], now + ARGV[3])
end
redis.call('HSET', KEYS[2], 'p:' .. ARGV[1], now + ARGV[3])
local all = redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  if tonumber(all[i + 1]) < now - 3600 then redis.call('HDEL', KEYS[2], all[i]) end
end
return {'now', string.format('%.6f', now)}
"""
)

JOIN = (
    _NOW
    + """
-- KEYS: clock, alive, waiting; ARGV: call, JSON
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
changed()
return 1
"""
)

LEAVE = (
    _NOW
    + """
-- KEYS: clock, alive, waiting, offered; ARGV: call
redis.call('HDEL', KEYS[3], ARGV[1])
redis.call('HDEL', KEYS[4], ARGV[1])
changed()
return 1
"""
)

WITHDRAW = (
    _NOW
    + """
-- KEYS: clock, alive, offered; ARGV: call
redis.call('HDEL', KEYS[3], ARGV[1])
changed()
return 1
"""
)

OFFER = (
    _NOW
    + """
-- KEYS: clock, alive, waiting, callbacks, offered, consultant; ARGV: call, consultant,
-- lease seconds
if redis.call('HEXISTS', KEYS[3], ARGV[1]) + redis.call('HEXISTS', KEYS[4], ARGV[1]) == 0 then
  return 0
end
if redis.call('HEXISTS', KEYS[5], ARGV[1]) == 1 then return 0 end
if redis.call('HGET', KEYS[6], 'state') ~= 'available' then return 0 end
if telephone(KEYS[6]) ~= 'idle' then return 0 end
redis.call('HSET', KEYS[5], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[6], 'state', 'reserved', 'since', now, 'call', ARGV[1],
           'lease', now + ARGV[3], 'reason', '')
changed()
return 1
"""
)

RECLAIM = (
    _NOW
    + """
-- KEYS: clock, alive, offered, consultant; ARGV: call, consultant, lease seconds
local call = redis.call('HGET', KEYS[4], 'call') or ''
if call ~= '' and call ~= ARGV[1] then return 0 end
if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then return 0 end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
if call == '' then
  redis.call('HSET', KEYS[4], 'state', 'ringing', 'since', now, 'call', ARGV[1],
             'lease', now + ARGV[3], 'reason', '')
end
changed()
return 1
"""
)

MOVE = (
    _NOW
    + """
-- KEYS: clock, alive, offered, consultant; ARGV: call the consultant must have ('' = any), states
-- it may be in (comma list, '' = any), new state, reason, lease seconds (0 = none), keep the call
-- (1 or 0), renew only (1 = `since` stays)
local call = redis.call('HGET', KEYS[4], 'call') or ''
local state = redis.call('HGET', KEYS[4], 'state') or 'offline'
if ARGV[1] ~= '' and call ~= ARGV[1] then return 0 end
if ARGV[2] ~= '' and not string.find(',' .. ARGV[2] .. ',', ',' .. state .. ',', 1, true) then
  return 0
end
if ARGV[7] == '0' then redis.call('HSET', KEYS[4], 'since', now) end
redis.call('HSET', KEYS[4], 'state', ARGV[3], 'reason', ARGV[4])
if tonumber(ARGV[5]) > 0 then
  redis.call('HSET', KEYS[4], 'lease', now + ARGV[5])
else
  redis.call('HDEL', KEYS[4], 'lease')
end
if ARGV[6] == '0' then
  if call ~= '' and redis.call('HGET', KEYS[3], call) == string.match(KEYS[4], '[^:]+$') then
    redis.call('HDEL', KEYS[3], call)
  end
  redis.call('HDEL', KEYS[4], 'call')
end
changed()
return 1
"""
)

DEVICE = (
    _NOW
    + """
-- KEYS: clock, alive, consultant; ARGV: device ('idle', 'busy', 'unavailable'), node, state of a
-- consultant who has never been seen
-- A consultant is on the board from the first time the telephone is seen.
local before = telephone(KEYS[3])
local here = redis.call('HGET', KEYS[3], 'device:' .. ARGV[2]) or 'unavailable'
redis.call('HSET', KEYS[3], 'device:' .. ARGV[2], ARGV[1])
local after, state = telephone(KEYS[3]), redis.call('HGET', KEYS[3], 'state')
if not state then
  if ARGV[1] ~= 'unavailable' then
    redis.call('HSET', KEYS[3], 'state', ARGV[3], 'since', now, 'reason', '')
  end
elseif before == 'unavailable' and after ~= before and state == 'available' then
  redis.call('HSET', KEYS[3], 'since', now)
end
if here == ARGV[1] then return 0 end
changed()
return 1
"""
)

EXPIRE = (
    _NOW
    + """
-- KEYS: clock, alive, offered, consultant, waiting, callbacks
-- What nobody has renewed for a whole lease is over, unless the telephone still talks; what belongs
-- to a caller who is no longer on the board (whose process died) is over at once.
local state = redis.call('HGET', KEYS[4], 'state') or 'offline'
local lease = tonumber(redis.call('HGET', KEYS[4], 'lease') or 0)
if state == 'available' or state == 'paused' or state == 'offline' then return '' end
local theirs = redis.call('HGET', KEYS[4], 'call') or ''
local orphan = theirs ~= '' and redis.call('HEXISTS', KEYS[5], theirs) == 0
  and redis.call('HEXISTS', KEYS[6], theirs) == 0
if lease > now and not orphan then return '' end
if telephone(KEYS[4]) == 'busy' and state ~= 'wrap_up' then
  redis.call('HSET', KEYS[4], 'state', 'talking', 'lease', now + 10)
  return ''
end
local call = redis.call('HGET', KEYS[4], 'call') or ''
if call ~= '' and redis.call('HGET', KEYS[3], call) == string.match(KEYS[4], '[^:]+$') then
  redis.call('HDEL', KEYS[3], call)
end
redis.call('HSET', KEYS[4], 'state', 'available', 'since', now, 'reason', '')
redis.call('HDEL', KEYS[4], 'lease', 'call')
changed()
return state
"""
)

MEND = (
    _NOW
    + """
-- KEYS: clock, alive, offered, consultant; ARGV: call
-- An offer that its consultant knows nothing of would keep the caller from ever being offered.
if redis.call('HGET', KEYS[3], ARGV[1]) ~= string.match(KEYS[4], '[^:]+$') then return 0 end
if redis.call('HGET', KEYS[4], 'call') == ARGV[1] then return 0 end
redis.call('HDEL', KEYS[3], ARGV[1])
changed()
return 1
"""
)

SNAPSHOT = (
    _NOW
    + """
-- KEYS: clock, alive, waiting, offered, callbacks, callback_tries, consultants ...
local people = {}
for i = 7, #KEYS do people[i - 6] = redis.call('HGETALL', KEYS[i]) end
return {
  string.format('%.6f', now), redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3]),
  redis.call('HGETALL', KEYS[4]), redis.call('HGETALL', KEYS[5]), redis.call('HGETALL', KEYS[6]),
  people,
}
"""
)

ASK_CALLBACK = (
    _NOW
    + """
-- KEYS: clock, alive, callbacks, callback_numbers, callback_tries; ARGV: call, number, JSON, tries,
-- not before, most that may be open
local other = redis.call('HGET', KEYS[4], ARGV[2])
if other and redis.call('HEXISTS', KEYS[3], other) == 1 then return other end
if redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[6]) then return '' end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
redis.call('HSET', KEYS[4], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[5], ARGV[1], ARGV[4] .. ' ' .. ARGV[5])
changed()
return ARGV[1]
"""
)

TRY_CALLBACK = (
    _NOW
    + """
-- KEYS: clock, alive, callbacks, callback_tries, dials; ARGV: call, tries, seconds until it may be
-- tried again, most dialled in a minute, in a day
if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 0 then return 'gone' end
local minute, day = 'm:' .. math.floor(now / 60), 'd:' .. math.floor(now / 86400)
for _, field in ipairs(redis.call('HKEYS', KEYS[5])) do
  if field ~= minute and field ~= day then redis.call('HDEL', KEYS[5], field) end
end
local full = tonumber(redis.call('HGET', KEYS[5], minute) or 0) >= tonumber(ARGV[4])
  or tonumber(redis.call('HGET', KEYS[5], day) or 0) >= tonumber(ARGV[5])
if full then
  redis.call('HSET', KEYS[4], ARGV[1], ARGV[2] - 1 .. ' ' .. string.format('%.6f', now + 10))
  return 'full'
end
redis.call('HINCRBY', KEYS[5], minute, 1)
redis.call('HINCRBY', KEYS[5], day, 1)
redis.call('HSET', KEYS[4], ARGV[1], ARGV[2] .. ' ' .. string.format('%.6f', now + ARGV[3]))
return 'dial'
"""
)

END_CALLBACK = (
    _NOW
    + """
-- KEYS: clock, alive, callbacks, callback_numbers, callback_tries; ARGV: call, number
redis.call('HDEL', KEYS[5], ARGV[1])
if redis.call('HGET', KEYS[4], ARGV[2]) == ARGV[1] then redis.call('HDEL', KEYS[4], ARGV[2]) end
local removed = redis.call('HDEL', KEYS[3], ARGV[1])
if removed == 1 then changed() end
return removed
"""
)

CALLBACK_OF = (
    _NOW
    + """
-- KEYS: clock, alive, callbacks, callback_numbers; ARGV: number
local call = redis.call('HGET', KEYS[4], ARGV[1])
return call and redis.call('HGET', KEYS[3], call) or ''
"""
)
