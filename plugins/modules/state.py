#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: state
short_description: Bring a host's packages, accounts, files and units to the wanted state, as one transaction
version_added: 0.1.0
author: Slipway maintainers (@slipway)
description:
  - One task carries the whole wanted state of one role to the host, in one round trip, and reports item by item what changed and why.
  - "The sections are applied in a fixed order, whatever the order in the task: O(packages), O(groups), O(users), O(commands),
    O(directories), O(certificates), O(files), O(validate), O(units)."
  - "B(Transaction.) All candidates for O(files) are written beside their destinations and judged by their validators before the first is
    moved into place. Validators run where they see all candidates at their real paths, and nobody else does. When a validator refuses, a
    unit
    does not start, or its O(units[].ready) probe gets no answer in time, the earlier files are put back, the units that this call has
    touched
    run with them again (a unit that did not run before is stopped), and the task fails with the reason and the last lines of the unit's
    journal. Packages, accounts and what O(commands) made are not taken back."
  - "B(The running process is the truth.) A unit is restarted when a path in its O(units[].restart_on) is newer than its running process,
    not only when this call wrote it. A run that was killed between writing and restarting is healed by the next one. The same holds for
    C(systemctl daemon-reload)."
  - "B(A killed run.) Before anything is touched, a journal below C(/var/lib/slipway/rollback) records the earlier state. The next call
    completes a put-back that was interrupted. New files whose units were never proven keep their earlier versions until a later call on
    the same paths has succeeded, and that call returns to them if it fails."
  - Services are not started by the package manager while this module installs packages, because their configuration is not there yet.
    Running services may be restarted by an upgrade.
  - "Check mode asks the same planner and changes nothing. It is exact on a host where nothing is installed yet: what a package would
    bring is reported as a change, a validator whose program is missing as not validated."
  - "B(Items are plain data.) An item of any section may say C(when), a condition (or a list of them) without braces, and C(each),
    a list: the
    item then stands once for each entry, which its other keys and its template know by the name in C(as). Both are evaluated on the
    controller with types kept, at the time of the task, in a state file and in a task alike."
options:
  from:
    description:
      - Take everything from the role's C(state/<name>.yml), for example V(main) for C(state/main.yml). Its keys are the options of this
        module. No other option may be given then.
    type: str
  packages:
    description:
      - Debian packages. An item is a name, or a dictionary with the keys V(name) (required), V(state) (V(present) or V(absent), default
        V(present)), V(version) (an exact version; downgrades are allowed then), V(default_release) (as C(apt-get --target-release)),
        V(recommends) (also install recommended packages, default V(false)).
      - An installed package is not upgraded unless V(version) asks for it.
      - Changed configuration files are kept when a package is installed or upgraded.
    type: list
    elements: raw
    default: []
  cache_valid_time:
    description:
      - Seconds for which package lists are good enough. They are only looked at when a package is missing, and also fetched anew when a
        sources file is newer than they are.
    type: int
    default: 86400
  groups:
    description: System groups.
    type: list
    elements: dict
    default: []
    suboptions:
      when:
        description: Leave the item out unless this condition holds, or all of a list of conditions. It knows the entry of
          O(groups[].each).
        type: raw
      each:
        description: A list, or an expression that gives one. The item stands once for each entry.
        type: raw
      as:
        description: The name by which the item knows the entry of O(groups[].each), V(item) by default.
        type: str
      name:
        description: Name of the group.
        type: str
        required: true
      gid:
        description: Numeric id; any free one when not given.
        type: int
      system:
        description: Take the id from the range for system groups. Matters at creation only.
        type: bool
        default: false
      state:
        description: Whether the group exists.
        type: str
        choices: [present, absent]
        default: present
  users:
    description: Users. What is not given is left as it is.
    type: list
    elements: dict
    default: []
    suboptions:
      when:
        description: Leave the item out unless this condition holds, or all of a list of conditions. It knows the entry of
          O(users[].each).
        type: raw
      each:
        description: A list, or an expression that gives one. The item stands once for each entry.
        type: raw
      as:
        description: The name by which the item knows the entry of O(users[].each), V(item) by default.
        type: str
      name:
        description: Name of the user.
        type: str
        required: true
      uid:
        description: Numeric id; any free one when not given.
        type: int
      group:
        description: Primary group, which must exist. By default a group of the user's own name is made.
        type: str
      groups:
        description: Further groups the user must be in. Other memberships are left alone.
        type: list
        elements: str
        default: []
      home:
        description: Home directory. An existing one is not moved.
        type: str
      shell:
        description: Login shell. A new user gets C(/usr/sbin/nologin) when O(users[].system) is true, else C(/bin/bash).
        type: str
      system:
        description: Take the id from the range for system users. Matters at creation only.
        type: bool
        default: false
      comment:
        description: The GECOS field.
        type: str
      create_home:
        description: Make the home directory of a new user. By default true, but false for system users.
        type: bool
      password:
        description:
          - Password hash as in C(/etc/shadow), or V(!) for no password login. A new user without it has none.
          - It travels on standard input and appears in no result, log or command line.
        type: str
      state:
        description: Whether the user exists. The home directory of a removed user stays.
        type: str
        choices: [present, absent]
        default: present
  commands:
    description:
      - What only a program of the host can make, once, such as a host key or a database cluster. It runs where its
        O(commands[].creates) is missing, after packages and accounts and before files, with C(LC_ALL=C.UTF-8); it is not put back.
    type: list
    elements: dict
    default: []
    suboptions:
      when:
        description: Leave the item out unless this condition holds, or all of a list of conditions.
        type: raw
      each:
        description: A list, or an expression that gives one. The item stands once for each entry.
        type: raw
      as:
        description: The name by which the item knows the entry of O(commands[].each), V(item) by default.
        type: str
      argv:
        description: The program and its arguments; no shell.
        type: list
        elements: str
        required: true
      creates:
        description:
          - Absolute path that the program makes last. Where it is, the program does not run; where it is not there afterwards, it failed.
        type: str
        required: true
  directories:
    description: Directories. Missing parents are made with owner root and mode 0755.
    type: list
    elements: dict
    default: []
    suboptions:
      when:
        description: Leave the item out unless this condition holds, or all of a list of conditions. It knows the entry of
          O(directories[].each).
        type: raw
      each:
        description: A list, or an expression that gives one. The item stands once for each entry.
        type: raw
      as:
        description: The name by which the item knows the entry of O(directories[].each), V(item) by default.
        type: str
      path:
        description: Absolute path.
        type: str
        required: true
      owner:
        description: Name or numeric id of the owner. It may be made by this call.
        type: str
        default: root
      group:
        description: Name or numeric id of the group.
        type: str
        default: root
      mode:
        description: Quoted octal digits.
        type: str
        default: "0755"
      state:
        description:
          - V(absent) removes the directory with all that is in it, once the call has succeeded. Top-level directories and mount points
            are refused.
        type: str
        choices: [directory, absent]
        default: directory
      exclusive:
        description:
          - V(true), or a pattern of file names such as V(*.yml). Files and links in this directory that match and that no item of
            this call
            declares are removed, as a secret that was dropped from the inventory must be. Folders in it are left alone.
        type: raw
        default: false
  certificates:
    description:
      - Self-signed certificates with their keys (ECDSA, P-256), made once on the host, so that the key never travels. Where both files
        are there, they are left as they are. They are files of the transaction as any other, so a configuration that names them can be
        validated, in check mode too.
    type: list
    elements: dict
    default: []
    suboptions:
      when:
        description: Leave the item out unless this condition holds, or all of a list of conditions.
        type: raw
      each:
        description: A list, or an expression that gives one. The item stands once for each entry.
        type: raw
      as:
        description: The name by which the item knows the entry of O(certificates[].each), V(item) by default.
        type: str
      certificate:
        description: Absolute path of the certificate, which everybody may read. Other names want another path.
        type: str
        required: true
      key:
        description: Absolute path of the key.
        type: str
        required: true
      names:
        description: Host names and addresses it is for.
        type: list
        elements: str
        required: true
      days:
        description: How long it is valid.
        type: int
        default: 3650
      owner:
        description: Owner of both files.
        type: str
        default: root
      group:
        description: Group of both files.
        type: str
        default: root
      mode:
        description: Quoted octal digits, for the key.
        type: str
        default: "0600"
  files:
    description:
      - Files and symbolic links. Each item has exactly one of O(files[].template), O(files[].content), O(files[].source),
        O(files[].link),
        or O(files[].state=absent).
      - Writing is atomic (a rename), with owner and mode set before. A path that is a bind mount cannot be renamed onto and is written in
        place, which the item's reason then says.
    type: list
    elements: dict
    default: []
    suboptions:
      when:
        description: Leave the item out unless this condition holds, or all of a list of conditions. It knows the entry of
          O(files[].each).
        type: raw
      each:
        description: A list, or an expression that gives one. The item stands once for each entry.
        type: raw
      as:
        description: The name by which the item knows the entry of O(files[].each), V(item) by default.
        type: str
      path:
        description: Absolute path. A link at this path is replaced, not followed. A directory at this path is refused.
        type: str
        required: true
      template:
        description:
          - A Jinja2 template in the role's C(templates/), rendered on the controller as M(ansible.builtin.template) does, with
            C(trim_blocks).
          - C(ansible_managed) is available and names Slipway, unless a variable of that name is set.
        type: str
      variables:
        description: Further variables for this template, for one template that makes many files.
        type: dict
        default: {}
      content:
        description: The literal content.
        type: str
      encoding:
        description: V(base64) when O(files[].content) is binary data in base64.
        type: str
        choices: [utf-8, base64]
        default: utf-8
      source:
        description: A file on the controller, searched in the role's C(files/). Binary files are safe.
        type: str
      link:
        description: The target of a symbolic link. It need not exist.
        type: str
      state:
        description: V(absent) removes the file or link.
        type: str
        choices: [present, absent]
        default: present
      owner:
        description:
          - Name or numeric id of the owner. It may come with a package or be made by this call; if it exists by then neither way, the
            task fails.
        type: str
        default: root
      group:
        description: Name or numeric id of the group.
        type: str
        default: root
      mode:
        description: Quoted octal digits. Not used for links.
        type: str
        default: "0644"
      secret:
        description:
          - The content is never shown. The diff says only that it changes. Words of it are masked in what validators, commands and the
            unit's journal say when the task fails; words that are also in the template's own text are not.
          - It does not set a mode. Give O(files[].owner), O(files[].group) and O(files[].mode) as well.
        type: bool
        default: false
      force:
        description: V(false) writes the file only when it does not exist, as for generated keys. Owner and mode are kept up all the same.
        type: bool
        default: true
      validate:
        description:
          - A command that judges the candidate, run when the file would change. C(%s) is the path to look at. There is no shell.
          - Exit code 0 accepts. Outside check mode a missing program is a failure.
        type: str
  validate:
    description: Commands that judge a whole tree, such as C(nginx -t), where one file cannot be judged alone.
    type: list
    elements: dict
    default: []
    suboptions:
      when:
        description: Leave the item out unless this condition holds, or all of a list of conditions. It knows the entry of
          O(validate[].each).
        type: raw
      each:
        description: A list, or an expression that gives one. The item stands once for each entry.
        type: raw
      as:
        description: The name by which the item knows the entry of O(validate[].each), V(item) by default.
        type: str
      command:
        description: The command, without a shell. It sees all candidates of this call at their real paths.
        type: str
        required: true
      files:
        description: Files and directories it reads. It runs when a file at or below one of them would change.
        type: list
        elements: str
        required: true
  units:
    description:
      - systemd units. Their files and drop-ins are ordinary O(files); C(systemctl daemon-reload) follows by itself.
      - Starts, restarts and reloads happen one at a time in the listed order, each with its O(units[].ready) probe, so that two instances
        roll.
        Stops come before the files are changed. A unit is enabled only after it has worked.
    type: list
    elements: dict
    default: []
    suboptions:
      when:
        description: Leave the item out unless this condition holds, or all of a list of conditions. It knows the entry of
          O(units[].each).
        type: raw
      each:
        description: A list, or an expression that gives one. The item stands once for each entry.
        type: raw
      as:
        description: The name by which the item knows the entry of O(units[].each), V(item) by default.
        type: str
      name:
        description: Full name with suffix, such as C(redis-server@broker.service). Required, but for an item with O(units[].exclusive).
        type: str
      exclusive:
        description:
          - A pattern of unit names that belong to this call alone, such as V(api@*.service), in an item of its own. Units on the
            host that
            match it and that no other item names are stopped and disabled; their files and drop-in folders in
            C(/etc/systemd/system) that no
            item of O(files) declares are removed.
          - It begins with three plain characters at least, so that it can not take the distribution's units away, or goes with
            O(units[].marked).
        type: str
      marked:
        description:
          - Of the units that O(units[].exclusive) matches, only those whose file in C(/etc/systemd/system) has the line
            C(X-Slipway=WORD), with their instances. So a unit goes whose name nobody knows any more.
        type: str
      enabled:
        description: Whether the unit starts at boot. Left alone when not given, and for units without an install section.
        type: bool
      state:
        description:
          - V(started) or V(stopped). When not given, a running unit is still restarted or reloaded as its files demand, and one that does
            not run is left alone.
          - Give no O(units[].state) to a oneshot service that a timer starts.
        type: str
        choices: [started, stopped]
      masked:
        description: Whether the unit is masked. Left alone when not given.
        type: bool
      restart_on:
        description:
          - Files, links and directories (with all below). When one is newer than the unit's running process, the unit is restarted.
          - A link counts with its own time and that of a file it points to, but not with what is in a directory it points to.
        type: list
        elements: str
        default: []
      reload_on:
        description:
          - As O(units[].restart_on), but the unit is reloaded, when the path is also newer than the last reload by this module.
          - A restart that is due makes the reload unnecessary.
        type: list
        elements: str
        default: []
      reload_command:
        description: A command to run instead of C(systemctl reload), without a shell.
        type: str
      ready:
        description:
          - How to know that the unit answers. Asked after it was started, restarted or reloaded, until it answers or
            O(units[].ready.timeout) is over.
          - Exactly one of O(units[].ready.tcp), O(units[].ready.http), O(units[].ready.unix), O(units[].ready.command),
            O(units[].ready.unit_active).
          - Without it, the unit must still be active half a second later.
        type: dict
        suboptions:
          tcp:
            description: V(host:port) accepts a connection.
            type: str
          http:
            description: URL that answers with O(units[].ready.status).
            type: str
          status:
            description: The one wanted HTTP status. By default any from 200 to 299.
            type: int
          insecure:
            description: Accept any certificate, for a self-signed service asked by its address.
            type: bool
            default: false
          host:
            description: C(Host) header of the request.
            type: str
          unix:
            description: Path of a stream socket that accepts a connection.
            type: str
          command:
            description: Command without a shell that exits 0.
            type: str
          expect:
            description: Text that must be in the output of O(units[].ready.command).
            type: str
          unit_active:
            description: systemd calls the unit active, which for C(Type=notify) means that it said so itself.
            type: bool
            default: false
          timeout:
            description: Seconds to wait.
            type: int
            default: 30
          settle:
            description: Seconds it has to go on answering, for a balancer that left the unit out while it restarted to come back.
            type: int
            default: 0
      sandbox:
        description:
          - What the unit may touch. The drop-in C(<unit>.d/slipway-sandbox.conf) is written from it, and the unit restarts when
            that changes;
            the instances of a template share one. An empty dictionary is the strictest sandbox.
          - It sorts before C(slipway.conf), whose lines win.
          - Everything not named here is closed, as C(systemd-analyze security) counts it, the file system read-only, homes and other
            processes hidden, memory either writable or executable, system calls those of C(@system-service) without C(@privileged) and
            C(@resources).
        type: dict
        suboptions:
          write:
            description: Paths it writes to, as C(ReadWritePaths=). A path that need not exist begins with C(-).
            type: list
            elements: str
            default: []
          families:
            description: Families of sockets.
            type: list
            elements: str
            choices: [inet, unix, netlink, packet]
            default: [inet, unix]
          networks:
            description: Addresses and networks it may talk to, or V(any). All others are denied.
            type: list
            elements: str
            default: [any]
          capabilities:
            description: Capabilities it may have, as C(CapabilityBoundingSet=), such as V(CAP_NET_ADMIN).
            type: list
            elements: str
            default: []
          ambient_capabilities:
            description: Capabilities that a unit which does not run as root is given. They need not be repeated in
              O(units[].sandbox.capabilities).
            type: list
            elements: str
            default: []
          except:
            description:
              - Parts of the sandbox that the program cannot live with. The key is a directive such as V(MemoryDenyWriteExecute) or
                a group of
                system calls, V(@resources) or V(@privileged); the value is the reason, which the drop-in repeats.
            type: dict
            default: {}
  timeout:
    description: Seconds for the whole call. A put-back gets a time of its own.
    type: int
    default: 600
notes:
  - Needs root on the host, so C(become=true) unless the connection is root's. Check mode works without, as far as files can be read.
  - Two calls on one host at a time wait for each other.
  - The host needs Python 3.9 or newer and nothing else; Debian 12 and 13 are tested.
  - The program and its data travel on the standard input of the host's Python, whatever C(pipelining) is set to, and leave no temporary
    file.
    With C(async) or a become method that needs a terminal, Ansible's usual module transport is used.
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode
    support: full
  async:
    description: Supports being used with the C(async) keyword
    support: full
  idempotent:
    description: A second run with the same options, on a host that nobody else has changed, changes nothing.
    support: full
seealso:
  - module: ansible.builtin.template
  - module: ansible.builtin.systemd_service
"""

EXAMPLES = r"""
- name: Converge Redis
  slipway.stack.state:
    packages: [redis-server]
    files:
      - path: /etc/redis/redis.conf
        template: etc/redis/redis.conf.j2
        group: redis
        mode: "0640"
        secret: true
    units:
      - name: redis-server.service
        enabled: true
        state: started
        restart_on: [/etc/redis/redis.conf]
        ready: {tcp: "127.0.0.1:6379"}

- name: Converge nginx, judged as a whole before anything changes
  slipway.stack.state:
    packages: [nginx]
    directories:
      - {path: /etc/nginx/tls, mode: "0710", group: www-data}
    files:
      - {path: /etc/nginx/nginx.conf, template: etc/nginx/nginx.conf.j2}
      - {path: /etc/nginx/conf.d/app.conf, template: etc/nginx/conf.d/app.conf.j2}
      - {path: /etc/nginx/sites-enabled/default, state: absent}
    validate:
      - {command: nginx -t, files: [/etc/nginx]}
    units:
      - name: nginx.service
        enabled: true
        state: started
        reload_on: [/etc/nginx]
        ready: {http: "http://127.0.0.1/health"}

# roles/shop/state/main.yml holds the same options as plain data
- name: Converge the shop
  slipway.stack.state:
    from: main

- name: One file and one unit for each instance, and none beyond them
  slipway.stack.state:
    directories:
      - {path: /etc/shop/secrets, group: shop, mode: "0750", exclusive: true}
    files:
      - each: "{{ shop_secrets | dict2items }}"
        as: secret
        path: /etc/shop/secrets/{{ secret.key }}
        content: "{{ secret.value }}"
        group: shop
        mode: "0640"
        secret: true
      - {path: /etc/shop/debug.conf, template: etc/shop/debug.conf.j2, when: shop_debug}
    units:
      - each: "{{ shop_ports }}"
        as: port
        name: shop@{{ port }}.service
        state: started
        enabled: true
        restart_on: [/etc/shop/secrets]
        ready: {tcp: "127.0.0.1:{{ port }}"}
        sandbox:
          write: [/var/lib/shop]
          except: {MemoryDenyWriteExecute: its templates are compiled to machine code}
      - exclusive: shop@*.service

- name: Two instances of one template unit, one after the other
  slipway.stack.state:
    groups:
      - {name: shop, system: true}
    users:
      - {name: shop, group: shop, system: true, home: /opt/shop}
    files:
      - {path: /etc/systemd/system/shop@.service, template: etc/systemd/system/shop@.service.j2, validate: "systemd-analyze verify %s"}
      - {path: /etc/shop/8001.env, template: etc/shop/env.j2, variables: {port: 8001}, group: shop, mode: "0640", secret: true}
      - {path: /etc/shop/8002.env, template: etc/shop/env.j2, variables: {port: 8002}, group: shop, mode: "0640", secret: true}
      - {path: /opt/shop/current, link: "/opt/shop/releases/{{ shop_release }}"}
    units:
      - name: shop@8001.service
        enabled: true
        state: started
        restart_on: [/etc/systemd/system/shop@.service, /etc/shop/8001.env, /opt/shop/current]
        ready: {http: "http://127.0.0.1:8001/health/ready", timeout: 60}
      - name: shop@8002.service
        enabled: true
        state: started
        restart_on: [/etc/systemd/system/shop@.service, /etc/shop/8002.env, /opt/shop/current]
        ready: {http: "http://127.0.0.1:8002/health/ready", timeout: 60}
"""

RETURN = r"""
items:
  description: Every item of every section, in the order in which they are applied, and then what the validators said.
  returned: always
  type: list
  elements: dict
  sample:
    - {section: files, name: /etc/nginx/nginx.conf, changed: true, reason: content differs, action: update}
    - {section: units, name: nginx.service, changed: true, reason: /etc/nginx is newer than the last reload, action: reload}
    - {section: validate, name: nginx -t, changed: false, reason: passed, action: ""}
restarted:
  description: Units that were restarted, or would be in check mode. A first start is not a restart.
  returned: always
  type: list
  elements: str
reloaded:
  description: Units that were reloaded, or would be in check mode.
  returned: always
  type: list
  elements: str
packages_installed:
  description: What was installed, as V(name=version).
  returned: always
  type: list
  elements: str
put_back:
  description: Paths that were returned to their earlier state, because this call failed or because a killed one had begun to.
  returned: always
  type: list
  elements: str
file:
  description: The file a validator refused.
  returned: when a validator refuses
  type: str
template:
  description: The template of that file, if it has one.
  returned: when a validator refuses
  type: str
line:
  description: The line the validator named, if it did.
  returned: when a validator refuses
  type: int
validator:
  description: The command that refused.
  returned: when a validator refuses
  type: str
validator_output:
  description: Its last lines.
  returned: when a validator refuses
  type: list
  elements: str
unit:
  description: The unit that failed or did not answer.
  returned: when a unit fails
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.stack.plugins.module_utils.state import engine, spec


class Module(AnsibleModule):
    """The arguments hold whole files, which belong neither into the host's system log nor into the result."""

    def _log_invocation(self) -> None:
        pass


def main() -> None:
    module = Module(argument_spec=spec.ARGUMENT_SPEC, supports_check_mode=True)
    try:
        payload = spec.normalise(module.params, rendered=True)
    except spec.SpecError as error:
        module.fail_json(msg=str(error), invocation={})
    payload.update(check=module.check_mode, diff=module._diff)
    result = engine.Engine(payload).run()
    if result.pop("failed", False):
        module.fail_json(invocation={}, **result)
    module.exit_json(invocation={}, **result)


if __name__ == "__main__":
    main()
