"""The board's atomic moves, as Lua that Redis runs whole; the time is Redis's own.

Keys: `waiting` (hash: call -> JSON), `offered` (hash: call -> consultant), and one hash for each
consultant with state, since, device, call, lease, reason.
"""

_NOW = "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000;"

OFFER = (
    _NOW
    + """
-- KEYS: waiting, offered, consultant; ARGV: call, consultant, lease seconds
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 0 end
if redis.call('HGET', KEYS[3], 'state') ~= 'available' then return 0 end
if redis.call('HGET', KEYS[3], 'device') ~= 'idle' then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], 'state', 'reserved', 'since', now, 'call', ARGV[1],
           'lease', now + ARGV[3])
return 1
"""
)

MOVE = (
    _NOW
    + """
-- KEYS: consultant, offered; ARGV: call the consultant must have ('' = any), states it may be in
-- (comma list, '' = any), new state, reason, lease seconds (0 = none), keep the call (1 or 0),
-- renew only (1 = `since` stays)
local call = redis.call('HGET', KEYS[1], 'call') or ''
local state = redis.call('HGET', KEYS[1], 'state') or 'offline'
if ARGV[1] ~= '' and call ~= ARGV[1] then return 0 end
if ARGV[2] ~= '' and not string.find(',' .. ARGV[2] .. ',', ',' .. state .. ',', 1, true) then
  return 0
end
if ARGV[7] == '0' then redis.call('HSET', KEYS[1], 'since', now) end
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'reason', ARGV[4])
if tonumber(ARGV[5]) > 0 then
  redis.call('HSET', KEYS[1], 'lease', now + ARGV[5])
else
  redis.call('HDEL', KEYS[1], 'lease')
end
if ARGV[6] == '0' then
  if call ~= '' and redis.call('HGET', KEYS[2], call) == string.match(KEYS[1], '[^:]+$') then
    redis.call('HDEL', KEYS[2], call)
  end
  redis.call('HDEL', KEYS[1], 'call')
end
return 1
"""
)

DEVICE = (
    _NOW
    + """
-- KEYS: consultant; ARGV: device ('idle', 'busy', 'unavailable')
-- A consultant is on the board from the first time the telephone is seen.
local before = redis.call('HGET', KEYS[1], 'device') or 'unavailable'
redis.call('HSET', KEYS[1], 'device', ARGV[1])
local state = redis.call('HGET', KEYS[1], 'state')
if not state then
  redis.call('HSET', KEYS[1], 'state', 'available', 'since', now, 'reason', '')
elseif before == 'unavailable' and ARGV[1] ~= 'unavailable' and state == 'available' then
  redis.call('HSET', KEYS[1], 'since', now)
end
if before ~= ARGV[1] then return 1 end
return 0
"""
)

EXPIRE = (
    _NOW
    + """
-- KEYS: consultant, offered; ARGV: 1 when the telephone is busy in Asterisk, else 0
-- What nobody has renewed for a whole lease is over, unless the telephone still talks.
local state = redis.call('HGET', KEYS[1], 'state') or 'offline'
local lease = tonumber(redis.call('HGET', KEYS[1], 'lease') or 'inf')
if state == 'available' or state == 'paused' or state == 'offline' then return '' end
if lease > now then return '' end
if ARGV[1] == '1' and state ~= 'wrap_up' then
  redis.call('HSET', KEYS[1], 'state', 'talking', 'lease', now + 10)
  return ''
end
local call = redis.call('HGET', KEYS[1], 'call') or ''
if call ~= '' then redis.call('HDEL', KEYS[2], call) end
redis.call('HSET', KEYS[1], 'state', 'available', 'since', now, 'reason', '')
redis.call('HDEL', KEYS[1], 'lease', 'call')
return state
"""
)
