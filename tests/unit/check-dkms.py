# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-dkms.py SOURCE BUILD VERSION: what DKMS will find in /usr/src builds the module.

Kbuild names objects, these are made of sources, and sources include headers:
each of these files must be installed where dkms.conf is, by its own name.
"""
import json
import os
import re
import sys

source, build, version = sys.argv[1:]
kmod = os.path.join(source, "kmod")
target = f"/usr/src/daxguard-{version}"
failures = []


def expect(good, text):
    if not good:
        failures.append(text)


def read(name):
    with open(os.path.join(kmod, name), encoding="utf-8") as file:
        return file.read().replace("\\\n", " ")


def installed():
    """Name below kmod/ -> where it goes."""
    with open(os.path.join(build, "meson-info", "intro-installed.json"), encoding="utf-8") as file:
        plan = json.load(file)
    return {os.path.relpath(path, kmod): to for path, to in plan.items() if path.startswith(kmod + os.sep)}


def settings(text):
    return dict(re.findall(r'^(\w+)(?:\[0\])?="(.*)"$', text, re.M))


def included(name, seen):
    """The file and all that it includes of ours."""
    if name in seen or not os.path.exists(os.path.join(kmod, name)):
        return
    seen.add(name)
    for header in re.findall(r'^\s*#\s*include\s+"(.+)"', read(name), re.M):
        included(os.path.normpath(os.path.join(os.path.dirname(name), header)), seen)


def sources_of(kbuild):
    """Module name, and the files that it is made of."""
    module = re.search(r"^obj-m\s*[:+]?=\s*(\w+)\.o\s*$", kbuild, re.M)[1]
    objects = re.findall(rf"^{module}-y\s*[:+]?=(.*)$", kbuild, re.M)
    names = [obj.removesuffix(".o") + ".c" for line in objects for obj in line.split()]
    return module, names


conf = settings(read("dkms.conf"))
module, names = sources_of(read("Kbuild"))
expect(conf.get("PACKAGE_VERSION") == version, f"dkms.conf has version {conf.get('PACKAGE_VERSION')}, the project {version}")
expect(f'DG_VERSION "{version}"' in read("daxguard.h"), f"daxguard.h: DG_VERSION is not {version}")
expect(conf.get("PACKAGE_NAME") == "daxguard", "dkms.conf: PACKAGE_NAME")
expect(conf.get("BUILT_MODULE_NAME") == module, f"dkms.conf does not expect {module}.ko")
expect(conf.get("MAKE", "").split()[-1:] == ["modules"], "dkms.conf: MAKE does not end with its target")
for variable in re.findall(r"(\w+)=\$", conf.get("MAKE", "")):
    expect(re.search(rf"^{variable}\s*\?=", read("Makefile"), re.M), f"Makefile knows no {variable}")

needed = {"Kbuild", "Makefile", "dkms.conf"}
for name in names:
    expect(os.path.exists(os.path.join(kmod, name)), f"Kbuild names {name}, which is not there")
    included(name, needed)
plan = installed()
for name in sorted(needed):
    expect(plan.get(name) == os.path.join(target, name), f"{name} is not installed as {target}/{name}")
for name in sorted(set(plan) - needed):
    expect(not plan[name].startswith(target), f"{name} is installed for DKMS, but nothing needs it")

print("\n".join(failures) or f"{len(needed)} files")
sys.exit(bool(failures))
