-- $1 to $18 the columns of the states, as `new` names them.
update website_states as state set
    checked_at = greatest(state.checked_at, new.checked_at),
    first_known_at = least(state.first_known_at, new.first_known_at),
    last_up_at = greatest(state.last_up_at, new.last_up_at),
    last_down_at = greatest(state.last_down_at, new.last_down_at),
    outcome = case when state.checked_at < new.checked_at then new.outcome else state.outcome end,
    up = case when state.checked_at < new.checked_at then new.up else state.up end,
    -- A check without TLS (the connection failed) says nothing of the certificate: what was seen last
    -- stays. An earlier release believed checks a day ahead: such a one must not hide a new certificate.
    certificate_not_after = case
        when new.tls_version is not null
            and (state.checked_at < new.checked_at or state.checked_at > now() + clock_skew())
        then new.certificate_not_after else state.certificate_not_after
    end,
    certificate_issuer = case
        when new.tls_version is not null
            and (state.checked_at < new.checked_at or state.checked_at > now() + clock_skew())
        then new.certificate_issuer else state.certificate_issuer
    end,
    certificate_error = case
        when new.tls_version is not null
            and (state.checked_at < new.checked_at or state.checked_at > now() + clock_skew())
        then new.certificate_error else state.certificate_error
    end,
    chain_not_after = case
        when new.tls_version is not null
            and (state.checked_at < new.checked_at or state.checked_at > now() + clock_skew())
        then new.chain_not_after else state.chain_not_after
    end,
    chain_subject = case
        when new.tls_version is not null
            and (state.checked_at < new.checked_at or state.checked_at > now() + clock_skew())
        then new.chain_subject else state.chain_subject
    end,
    chain_host = case
        when new.tls_version is not null
            and (state.checked_at < new.checked_at or state.checked_at > now() + clock_skew())
        then new.chain_host else state.chain_host
    end,
    tls_version = case
        when new.tls_version is not null
            and (state.checked_at < new.checked_at or state.checked_at > now() + clock_skew())
        then new.tls_version else state.tls_version
    end,
    final_url = case when state.checked_at < new.checked_at then new.final_url else state.final_url end,
    first_scheduled_at = least(state.first_scheduled_at, new.first_scheduled_at),
    interval_ms = case when state.checked_at < new.checked_at then new.interval_ms else state.interval_ms end
from unnest(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
) as new (
    website_id, location_id, checked_at, first_known_at, last_up_at, last_down_at,
    outcome, up, certificate_not_after, certificate_issuer, certificate_error,
    chain_not_after, chain_subject, chain_host, tls_version, final_url,
    first_scheduled_at, interval_ms
)
where state.website_id = new.website_id
    and state.location_id = new.location_id
    and (
        state.checked_at < new.checked_at
        or state.checked_at > now() + clock_skew()
        or least(state.first_known_at, new.first_known_at) is distinct from state.first_known_at
        or least(state.first_scheduled_at, new.first_scheduled_at) is distinct from state.first_scheduled_at
        or greatest(state.last_up_at, new.last_up_at) is distinct from state.last_up_at
        or greatest(state.last_down_at, new.last_down_at) is distinct from state.last_down_at
    )
