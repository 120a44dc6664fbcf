# Packer starts the image that nano-image made, and goes on in it:
#   nano-image build --recipe examples/kvm.toml -o nano.qcow2 --remote-management=script --secret admin=env:PASSWORD
#   packer init deploy/qemu.pkr.hcl && packer build -var image=nano.qcow2 -var password="$PASSWORD" deploy/qemu.pkr.hcl
packer {
  required_plugins {
    qemu = {
      version = ">= 1.1.0"
      source  = "github.com/hashicorp/qemu"
    }
  }
}

variable "image" {
  type        = string
  description = "The qcow2 file that nano-image wrote"
}

variable "password" {
  type      = string
  sensitive = true
}

source "qemu" "nano" {
  disk_image       = true
  iso_url          = var.image
  iso_checksum     = "none"
  format           = "qcow2"
  use_backing_file = true
  efi_boot         = true
  machine_type     = "q35"
  memory           = 1024
  headless         = true
  communicator     = "winrm"
  winrm_username   = "Administrator"
  winrm_password   = var.password
  shutdown_command = "shutdown /s /t 5"
}

build {
  sources = ["source.qemu.nano"]

  provisioner "powershell" {
    inline = ["Get-Volume"]
  }
}
