"""Makes the /proc, /sys and udev trees of a host with many devices: trees.py FOLDER INTERFACES DISKS"""

import os
import sys

ATTRIBUTES = {
    "addr_assign_type": "3", "addr_len": "6", "address": "02:00:00:00:00:01", "broadcast": "ff:ff:ff:ff:ff:ff", "carrier": "1",
    "carrier_changes": "2", "carrier_down_count": "1", "carrier_up_count": "1", "dev_id": "0x0", "dormant": "0", "duplex": "full",
    "flags": "0x1003", "ifalias": "", "ifindex": "7", "iflink": "8", "link_mode": "0", "mtu": "1500", "name_assign_type": "3",
    "netdev_group": "0", "operstate": "up", "phys_port_id": "", "phys_port_name": "", "phys_switch_id": "", "proto_down": "0",
    "speed": "10000", "tx_queue_len": "1000", "type": "1",
}


def write(folder, files):
    os.makedirs(folder, exist_ok=True)
    for name, text in files.items():
        with open(f"{folder}/{name}", "w") as file:
            file.write(text + "\n")


def letters(number):
    """a, b, ... z, aa, ab, ..."""
    return (letters(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)


def main():
    folder, interfaces, disks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rows = ["Inter-|   Receive                                                |  Transmit", " face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed"]
    os.makedirs(f"{folder}/sys/class/net")
    for number in range(interfaces):
        # As in sysfs, where the class holds links to the devices.
        name = f"veth{number:06x}"
        write(f"{folder}/sys/devices/virtual/net/{name}", ATTRIBUTES)
        os.symlink(f"../../devices/virtual/net/{name}", f"{folder}/sys/class/net/{name}")
        rows.append(f"{name}: {number}000 {number} 0 0 0 0 0 0 {number}000 {number} 0 0 0 0 0 0")
    write(f"{folder}/proc/net", {"dev": "\n".join(rows)})
    rows = []
    for number in range(disks):
        # As with multipath: of five disks four are paths to the fifth.
        name, major = (f"dm-{number}", 253) if number % 5 == 4 else (f"sd{letters(number)}", 8)
        minor = number
        rows.append(f"{major:4} {minor:7} {name} {number} 0 8 1 2 0 16 3 0 4 5 0 0 0 0 6 7")
        write(f"{folder}/sys/block/{name}/queue", {"rotational": "0"})
        write(f"{folder}/udev", {f"b{major}:{minor}": f"E:DM_NAME=vg-{number}\nE:ID_SERIAL=serial{number}\nE:ID_FS_TYPE=ext4"})
    write(f"{folder}/proc", {"diskstats": "\n".join(rows)})
    # A database that udev wrote to just now is read again; that of a host at work has settled.
    os.utime(f"{folder}/udev", (0, 0))


main()
