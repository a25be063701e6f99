################################################################################
#
# netcell
#
################################################################################

# Copy this folder to package/netcell, and name its Config.in in package/Config.in; the archive is made by
# cross/packages/source and belongs beside this file. Not into $(BR2_DL_DIR), where Buildroot puts it together with the crates of
# Cargo.lock: what is there already it takes as it is, and builds it without a network.
NETCELL_VERSION = 0.1.0
NETCELL_SOURCE = netcell-$(NETCELL_VERSION).tar.gz
NETCELL_SITE := file://$(abspath $(dir $(lastword $(MAKEFILE_LIST))))
NETCELL_LICENSE = Apache-2.0 or MIT
NETCELL_LICENSE_FILES = LICENSE-APACHE LICENSE-MIT

# What README's table names, and what Kconfig lets that depend on, without which the kernel's `olddefconfig` drops it.
define NETCELL_LINUX_CONFIG_FIXUPS
	$(foreach option,NAMESPACES SYSVIPC NET_NS UTS_NS IPC_NS PID_NS NET INET IPV6 NETDEVICES NET_CORE VETH BRIDGE \
		NETFILTER NF_CONNTRACK NF_NAT NF_CT_NETLINK NF_TABLES NF_TABLES_IPV4 NF_TABLES_IPV6 NF_TABLES_INET \
		NFT_CT NFT_NAT NFT_MASQ NFT_FIB_IPV4 NFT_FIB_IPV6 NFT_FIB_INET NF_TABLES_BRIDGE NFT_BRIDGE_META OVERLAY_FS,\
		$(call KCONFIG_ENABLE_OPT,CONFIG_$(option))$(sep))
endef

define NETCELL_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 755 $(@D)/cross/init.d/netcell $(TARGET_DIR)/etc/init.d/S80netcell
endef

define NETCELL_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 644 $(@D)/cross/init.d/netcell.service $(TARGET_DIR)/usr/lib/systemd/system/netcell.service
endef

$(eval $(cargo-package))
